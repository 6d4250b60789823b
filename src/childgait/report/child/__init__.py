"""One child: what its recordings show, what the bundle's models predict, and the page that states both."""
