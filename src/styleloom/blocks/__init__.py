"""Mathematics and machinery that papers share; nothing here knows a paper."""
