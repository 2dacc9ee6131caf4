"""Floor 4: the doors. Sockets in, sockets out; they hold no rule of their own."""
