"""The review app: a local web page where a person clears, selects, corrects and rates; it writes the manual files."""
