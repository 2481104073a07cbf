"""Alerts for others: Vigil's verdicts, actions and notices sent to Alertmanager, webhooks and chats, once each."""
