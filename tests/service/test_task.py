"""The Windows Task Scheduler task."""

from pathlib import Path
from xml.etree import ElementTree as ET

from netusage.service.job import Job, Scope
from netusage.service.task import task_xml

NS = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"
SYSTEM = Job(
    ("C:\\Program Files\\x\\netusage.exe",),
    Scope.SYSTEM,
    ledger=Path("C:/Data & more/x.db"),
    name_ledger=True,
)
USER = Job(("C:\\x\\netusage.exe",), Scope.USER)


def text_at(job, path, user="PC\\me"):
    # Task Scheduler's file is UTF-16, as its declaration says
    root = ET.fromstring(task_xml(job, user=user).encode("utf-16"))
    found = root.find("/".join(f"{NS}{part}" for part in path.split("/")))
    return None if found is None else found.text or ""


def test_a_system_task_starts_at_boot_as_the_system():
    assert text_at(SYSTEM, "Triggers/BootTrigger/Enabled") == "true"
    assert text_at(SYSTEM, "Triggers/LogonTrigger") is None
    assert text_at(SYSTEM, "Principals/Principal/UserId") == "S-1-5-18"


def test_a_users_task_starts_at_his_logon_without_more_rights():
    assert text_at(USER, "Triggers/LogonTrigger/UserId") == "PC\\me"
    assert text_at(USER, "Principals/Principal/LogonType") == "InteractiveToken"
    assert text_at(USER, "Principals/Principal/RunLevel") == "LeastPrivilege"


def test_a_user_whose_name_is_unknown_is_whoever_registers_the_task():
    assert text_at(USER, "Triggers/LogonTrigger/UserId", user="") is None
    assert text_at(USER, "Principals/Principal/UserId", user="") is None


def test_the_task_has_no_time_limit_survives_batteries_and_is_restarted():
    assert text_at(SYSTEM, "Settings/ExecutionTimeLimit") == "PT0S"
    assert text_at(SYSTEM, "Settings/StopIfGoingOnBatteries") == "false"
    assert text_at(SYSTEM, "Settings/DisallowStartIfOnBatteries") == "false"
    assert text_at(SYSTEM, "Settings/MultipleInstancesPolicy") == "IgnoreNew"
    # the schema: at least a minute, at most 255 times
    assert text_at(SYSTEM, "Settings/RestartOnFailure/Interval") == "PT1M"
    assert text_at(SYSTEM, "Settings/RestartOnFailure/Count") == "255"


def test_program_and_arguments_are_apart_and_quoted_for_windows():
    assert text_at(SYSTEM, "Actions/Exec/Command") == "C:\\Program Files\\x\\netusage.exe"
    arguments = text_at(SYSTEM, "Actions/Exec/Arguments")
    assert arguments.startswith('daemon --db "')
    assert arguments.endswith('x.db"')


def test_printed_to_a_screen_the_task_declares_no_encoding():
    text = task_xml(USER, user="x", declared=False)
    assert text.startswith("<Task ")
    ET.fromstring(text)
