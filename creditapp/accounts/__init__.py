"""Accounts: sign-up, passwords, emailed links, and the credits that each person gets once.

The verbs take the caller's session, ``rules`` and ``now``; they never commit. Passwords are hashed
and compared between transactions, because it takes time: ``Application.prepare``, ``new_password``
and ``Attempt.check``.
"""

from creditapp.accounts.address_change import confirm_change, find_by_change_token, request_change
from creditapp.accounts.email_address import Address, AddressInvalid, find_address, parse_address
from creditapp.accounts.hashing import keyed_hash
from creditapp.accounts.known_browsers import add_mark, known_browser
from creditapp.accounts.login import (
    AccountSuspended,
    Attempt,
    Proof,
    WrongCredentials,
    begin_log_in,
    log_in,
)
from creditapp.accounts.models import KeyLimits, LoginSession, Member, Throttle, User
from creditapp.accounts.networks import MULTIPLES, Network, Networks, networks_of, parse_ip
from creditapp.accounts.passwords import NewPassword, check_new_password, new_password
from creditapp.accounts.policy import AccountRules, SignedUp, SignedUpReceiver, SignUpCredits
from creditapp.accounts.profile import (
    change_password,
    change_profile,
    delete_account,
    find,
    find_by_email,
    is_open,
    name_problem,
    require_open,
    set_password,
    store_studio_settings,
)
from creditapp.accounts.recovery import (
    count_reset,
    find_by_reset_token,
    request_reset,
    reset_password,
)
from creditapp.accounts.sessions import (
    begin_session,
    device_name,
    end_session,
    end_sessions,
    list_sessions,
    see_session,
    sweep_sessions,
)
from creditapp.accounts.signup import (
    Application,
    CreditedUser,
    EmailTaken,
    NewAccount,
    check_application,
    confirm_address,
    count_sign_up,
    count_taken,
    find_by_verification_token,
    hides_sign_ups,
    limit_welcome_credits,
    prepare_account,
    sign_up,
    verify_address,
    waiting_credits_micro,
    welcome_waits,
)
from creditapp.accounts.throttle import sweep_tries
from creditapp.accounts.tokens import LinkExpired, LinkInvalid, mint_token
