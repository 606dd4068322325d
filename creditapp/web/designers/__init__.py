"""Documentation of the components, made from their templates, examples and style sheets."""
