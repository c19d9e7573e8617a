"""Where people are: MQTT, webhooks, a script, syslog; each follows the outbox by itself."""
