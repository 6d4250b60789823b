"""Where every number comes from: the records read as one graph, walked both ways, compared, shown and exported."""
