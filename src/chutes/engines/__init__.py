"""Model servers that speak the OpenAI API: what each needs, and one runner for all."""

__all__: list[str] = []
