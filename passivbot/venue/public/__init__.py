"""The public side of the seven exchanges: markets, candles, tickers, server time; and the archive hosts.

One module an exchange, by ccxt's name, each with ``install(venue)``. Answers have the documented shape in
full, since client libraries tell markets apart by fields that a short answer would lack.
"""
