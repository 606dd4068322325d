"""HTTP code that pages and the JSON API share."""
