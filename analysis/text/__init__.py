"""Results as columns of text, and numbers rounded to what is known of them."""
