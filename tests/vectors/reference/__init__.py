"""The protocol in plain Python, written from docs/PROTOCOL.md alone; slow, simple, and for tests only.

Nothing here is constant time and nothing here touches a real secret.
"""
