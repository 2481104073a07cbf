"""Alerts for others: Vigil's verdicts, actions and notices told to Alertmanager, webhooks and chats, once each."""
