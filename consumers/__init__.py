"""Workers that read the log: each a loop that stops clean, whose truth is the position in the store."""
