"""People: accounts, passwords, mailed links, and the credits that everyone gets once.

The verbs take the caller's session, ``rules`` (what ``create_app`` decided) and ``now``; they
never commit. What takes time, hashing and comparing passwords, is done between transactions by
``Application.prepare``, ``new_password`` and ``Attempt.check``.
"""

from creditapp.accounts.email_address import Address, AddressInvalid, find_address, parse_address
from creditapp.accounts.hashing import keyed_hash
from creditapp.accounts.login import (
    AccountSuspended,
    Attempt,
    Proof,
    WrongCredentials,
    begin_log_in,
    log_in,
)
from creditapp.accounts.models import Member, Throttle, User
from creditapp.accounts.passwords import NewPassword, new_password
from creditapp.accounts.policy import AccountRules, SignedUp, SignedUpReceiver, SignUpCredits
from creditapp.accounts.profile import (
    change_password,
    change_profile,
    delete_account,
    end_sessions,
    find,
    find_by_email,
    set_password,
)
from creditapp.accounts.recovery import request_reset, reset_password, whose_reset
from creditapp.accounts.signup import (
    Application,
    EmailTaken,
    NewAccount,
    Welcomed,
    check_application,
    confirm_address,
    count_sign_up,
    gifts_waiting,
    prepare_account,
    rules_for,
    sign_up,
    verify_address,
    whose_verification,
)
from creditapp.accounts.throttle import sweep_tries
from creditapp.accounts.tokens import LinkExpired, LinkInvalid, mint_token
