"""The scenes: each a function that draws a study on its sheet."""
