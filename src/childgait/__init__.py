"""childgait turns videos of walking children into an audited judgement of 34 gait items."""
