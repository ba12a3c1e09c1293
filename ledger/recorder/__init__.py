"""What runs inside a service: ``Recorder``, its spool and its sender."""
