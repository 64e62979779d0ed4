"""The Gradio app that is also the Hugging Face Space."""
