"""Whether Postgres refused a login, which only a person can mend, or is away, which passes.

libpq keeps no SQLSTATE of a connection that did not come about: the server's sentence is all that it hands on, in the language
of the server's ``lc_messages``. So it is told by what libpq itself knows, where it does, and by those sentences in the languages
that Postgres is translated into most completely. A refusal in other words is taken for what passes: it is told, and tried again.
"""

from __future__ import annotations

import re
from typing import Final

import psycopg
from psycopg import errors

_CODES: Final = {errors.InvalidPassword.sqlstate, errors.InvalidAuthorizationSpecification.sqlstate}
"""28P01 and 28000: a driver may hand them on one day."""

_SAID: Final = (
    # What is the same in every language: no entry lets us in, or one keeps us out.
    r"pg_hba\.conf",
    # English: Postgres by every method, libpq, and poolers.
    r"authentication failed|no password supplied|is not permitted to log in|role \".*\" does not exist",
    r"permission denied for database",
    # de es fr it ja ka ko ru sv uk zh: a wrong password; a role that may not log in, or is not there; a database closed to it.
    r"Passwort-Authentifizierung .* fehlgeschlagen|Rolle .* keine Berechtigung zum Einloggen|Rolle ».*« existiert nicht",
    r"keine Berechtigung für Datenbank",
    r"autentificación .* falló|rol .* no se le permite conectarse|no existe el rol|permiso denegado a la base de datos",
    r"authentification .* échouée|rôle .* n'est pas autorisé à se connecter|rôle .* n'existe pas|droit refusé pour la base",
    r"autenticazione .* fallita|ruolo .* non è consentito|ruolo \".*\" non esiste|permesso negato per il database",
    r"パスワード認証に失敗|ログインが許可されません|ロール\".*\"は存在しません|データベース.*へのアクセスが拒否",
    r"ავთენტიფიკაცია .* ვერ მოხერხდა|შესვლის უფლება არ აქვს|როლი არ არსებობს|წვდომა აკრძალულია",
    r"인증을 실패|롤은 접속을 허용하지 않음|롤\(role\) 없음|데이터베이스 (?:액세스|접근) 권한 없음",
    r"не прошёл проверку подлинности|для роли .* вход запрещён|роль \".*\" не существует|доступ к базе .* запрещён",
    r"autentisering misslyckades|roll .* tillåts inte logga in|rollen .* finns inte|rättighet saknas för databas",
    r"не пройшов автентифікацію|для ролі .* вхід не дозволений|роль \".*\" не існує|доступ до бази даних .* відхилений",
    r"认证失败|不允许角色.*登录|角色 \".*\" 不存在|访问数据库.*权限不够",
)
_REFUSED: Final = re.compile(f".*(?:{'|'.join(_SAID)}).*")


def refused_login(error: psycopg.OperationalError) -> str | None:
    """The sentence by which a login was refused; None where the server is away, starting, full, or has no such database."""
    told = str(error)
    if found := _REFUSED.search(told):
        return found[0]
    connection = error.pgconn
    if error.sqlstate in _CODES or (connection is not None and connection.needs_password):
        return (told.splitlines() or ["a password is asked for"])[0]
    return None
