"""The central registry: JamJet's REST API, on PostgreSQL."""
