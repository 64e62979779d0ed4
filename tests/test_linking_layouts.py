"""Tests link to what they call in the layouts of vitest and jest, go test, and JUnit."""

from __future__ import annotations

from tests.test_linking import links_of

TYPESCRIPT = {
    "src/index.ts": 'export * from "./queue";\nexport { clamp as limit } from "./numbers.js";\n',
    "src/queue.ts": """
        export class Queue {
          push(item: number): Queue {
            return this;
          }
          get size(): number {
            return 0;
          }
        }
        export async function open(name: string): Promise<Queue> {
          return new Queue();
        }
        export default function drain(queue: Queue): void {
          queue;
        }
        """,
    "src/numbers.ts": "export const clamp = (n: number) => {\n  return Math.max(0, n);\n};\n",
}


def test_vitest_and_jest_imports_and_what_a_suite_prepares():
    links = links_of(
        TYPESCRIPT
        | {
            "src/queue.test.ts": """
                import { beforeEach, describe, expect, it } from "vitest";
                import drain, { Queue, open as start } from "./queue";
                import * as all from ".";

                describe("Queue", () => {
                  let queue: Queue;
                  beforeEach(() => {
                    queue = new Queue();
                  });
                  it("pushes", () => {
                    expect(queue.push(1).size).toBe(queue);
                  });
                  it("opens", async () => {
                    const opened = await start("x");
                    opened.push(all.limit(3));
                    expect(() => drain(opened)).not.toThrow();
                  });
                });
                """,
            "src/__tests__/numbers.js": """
                const { clamp } = require("../numbers");
                test.each([1, 2])("clamps %d", (n) => {
                  clamp(n);
                });
                """,
            "src/View.tsx": """
                export const View = (props: { n: number }) => {
                  return <b>{props.n}</b>;
                };
                """,
            "src/View.spec.tsx": """
                import { View } from "./View";
                it("renders", () => {
                  render(<View n={1} />);
                });
                """,
            "src/queue.test-d.ts": """
                import { open } from "./queue";
                it("has a type", () => {
                  expectTypeOf(open("x")).toBeObject();
                });
                """,
        }
    )
    assert links == {
        "Queue.push": ["Queue > pushes", "Queue > opens"],
        "Queue.size": ["Queue > pushes"],
        "open": ["Queue > opens"],
        "View": ["renders"],
        "drain": ["Queue > opens"],
        "clamp": ["clamps %d", "Queue > opens"],
    }


GO = {
    "go.go": "package tool\n\nfunc Version() string {\n\treturn v\n}\n",
    "pool/pool.go": """
        package pool

        type base struct{ size int }

        func (b *base) Len() int {
            return b.size
        }

        type Pool struct {
            base
            name string
        }

        func New(size int) (*Pool, error) {
            return &Pool{}, nil
        }

        func (p *Pool) Get() int {
            return size(p)
        }

        func size(p *Pool) int {
            return 1
        }
        """,
}


def test_go_tests_see_their_folder_and_what_they_import():
    links = links_of(
        GO
        | {
            "pool/pool_test.go": """
                package pool

                func TestGet(t *testing.T) {
                    p := &Pool{name: "x"}
                    t.Run("len", func(t *testing.T) {
                        if p.Get() != size(p) {
                            t.Fatal(p.Len())
                        }
                    })
                }

                func helper() { size(nil) }
                """,
            "outside_test.go": """
                package tool_test

                import (
                    "example.com/x/tool"
                    other "example.com/x/tool/pool"
                )

                func TestOutside(t *testing.T) {
                    p, err := other.New(1)
                    p.Get()
                    tool.Version()
                }
                """,
        }
    )
    assert links == {
        "Pool.Get": ["TestGet", "TestOutside"],
        "size": ["TestGet"],
        "base.Len": ["TestGet"],
        "New": ["TestOutside"],
        "Version": ["TestOutside"],
    }


def test_junit_sees_its_package_its_fields_and_overloads_by_their_arity():
    links = links_of(
        {
            "lib/src/main/java/a/b/Json.java": """
                package a.b;

                class Json {
                    Json(int depth) {
                        this.depth = depth;
                    }
                    String write(Object o) {
                        return null;
                    }
                    String write(Object o, int indent) {
                        return null;
                    }
                    Reader read(String s) {
                        return null;
                    }
                    Reader read(byte[] s) {
                        return null;
                    }
                }
                """,
            "lib/src/main/java/a/c/Reader.java": """
                package a.c;

                public class Reader {
                    public static Reader of(String s) {
                        return new Reader();
                    }
                    public int next() {
                        return 1;
                    }
                }
                """,
            "lib/src/test/java/a/b/JsonTest.java": """
                package a.b;

                import static a.c.Reader.of;
                import a.c.Reader;
                import org.junit.Test;

                public class JsonTest {
                    private Json json = new Json(1);

                    @Test
                    public void writes() {
                        assertEquals("1", json.write(1, 2));
                        json.read("either");
                    }

                    @Test
                    public void reads() {
                        Reader reader = of("x");
                        this.json.write(reader.next());
                    }

                    void helper() {
                        Reader.of("y");
                    }
                }
                """,
        }
    )
    assert {symbol: sorted(tests) for symbol, tests in links.items()} == {
        "Json.write": ["JsonTest.reads", "JsonTest.writes"],  # one for each
        "Reader.of": ["JsonTest.reads"],
        "Reader.next": ["JsonTest.reads"],
    }
