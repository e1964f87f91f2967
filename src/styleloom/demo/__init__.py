"""The demo: a page that shows what StyleLoom does, with nothing but what ships with it."""
