"""How fast Runyard is, beside other tools measured in the same minute; ``make bench`` runs it."""
