"""Files of strangers, made to do harm: nothing may run, leak, hang or grow. See SECURITY.md."""
