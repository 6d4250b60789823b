"""childgait turns videos of walking children into an audited assessment of 34 gait items."""

__version__ = "0.1.0"  # stands also in CITATION.cff and codemeta.json
