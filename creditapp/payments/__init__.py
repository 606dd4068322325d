"""Money: purchases, Stripe and its stand-in, and what arrives from them."""
