"""REST under ``/api/v1`` and the pages: what people and programs on other machines use."""
