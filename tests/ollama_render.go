// What Ollama does with a TEMPLATE: {"template", "conversations"} in, the prompts out, as JSON.
// Messages of one role in a row are joined, as are all system messages; the template is executed
// once, over a map, as Ollama does for templates that name .Messages.
package main

import (
	"encoding/json"
	"os"
	"strings"
	"text/template"
)

type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

func main() {
	var asked []struct {
		Template      string      `json:"template"`
		Conversations [][]Message `json:"conversations"`
	}
	check(json.NewDecoder(os.Stdin).Decode(&asked))
	prompts := [][]string{}
	for _, one := range asked {
		parsed, err := template.New("").Option("missingkey=zero").Parse(one.Template)
		check(err)
		said := []string{}
		for _, conversation := range one.Conversations {
			var system []string
			var messages []*Message
			for i := range conversation {
				m := conversation[i]
				if m.Role == "system" {
					system = append(system, m.Content)
				}
				if n := len(messages); n > 0 && messages[n-1].Role == m.Role {
					messages[n-1].Content += "\n\n" + m.Content
				} else {
					messages = append(messages, &m)
				}
			}
			var text strings.Builder
			check(parsed.Execute(&text, map[string]any{
				"System":   strings.Join(system, "\n\n"),
				"Messages": messages,
				"Response": "",
			}))
			said = append(said, text.String())
		}
		prompts = append(prompts, said)
	}
	check(json.NewEncoder(os.Stdout).Encode(prompts))
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
