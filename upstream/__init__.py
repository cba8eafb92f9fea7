"""The model providers: the only room that knows openai."""
