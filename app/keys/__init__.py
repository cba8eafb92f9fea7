"""Keys: whom a request comes from, how often they may ask, and what is signed for them."""
