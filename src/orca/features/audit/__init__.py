"""What happened: the activity feed and the audit trail."""
