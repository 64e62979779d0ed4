"""The app: at home by ``patternhub ui``, and as it stands as a Hugging Face Space."""
