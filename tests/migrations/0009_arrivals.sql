UPDATE deliveries SET arrival = 1700000000000000,
    events = '[{"key":{"sweep":"tax-fedcba9876"},"event":{"event":"CancelRequested","by":"bob"}}]'
WHERE meaning IS NOT NULL;
