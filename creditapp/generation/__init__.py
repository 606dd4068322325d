"""Making pictures: requests, their life from wish to asset, and the providers that make them."""
