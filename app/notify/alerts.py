"""What is sent, whatever it is about: incidents of rooms, and alerts about suppliers' lines."""

from vigil.app.notify.changes import Incident, IncidentChange
from vigil.app.notify.line_alerts import LineAlert, LineAlertChange

Alert = Incident | LineAlert
"""What begins and may end."""

AlertChange = IncidentChange | LineAlertChange
"""One step of an alert."""
