"""Parts of networks, and networks that several papers share."""
