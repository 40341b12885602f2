//! What a letter says anew, and what it quotes.
