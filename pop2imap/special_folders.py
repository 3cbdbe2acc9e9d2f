"""What mail programs call the folders that have a special use (RFC 6154), in the languages people use."""

from __future__ import annotations

WELL_KNOWN: dict[str, tuple[str, ...]] = {
    "\\Sent": (
        "Sent", "Sent Items", "Sent Messages", "Sent Mail", "Sent-Mail", "Gesendet", "Gesendete Objekte",
        "Gesendete Elemente", "Gesendete Nachrichten", "Envoyés", "Éléments envoyés", "Messages envoyés",
        "Enviados", "Elementos enviados", "Itens enviados", "Mensajes enviados", "Inviati", "Inviata",
        "Posta inviata", "Verzonden", "Verzonden items", "Verzonden berichten", "Skickat", "Sendt", "Sendte",
        "Lähetetyt", "Wysłane", "Elementy wysłane", "Odeslané", "Odeslaná pošta", "Elküldött",
        "Отправленные", "Надіслані", "送信済み", "送信済みアイテム", "已发送", "已发送邮件", "寄件備份", "보낸 편지함",
    ),
    "\\Drafts": (
        "Drafts", "Draft", "Entwürfe", "Brouillons", "Borradores", "Rascunhos", "Bozze", "Concepten", "Utkast",
        "Kladder", "Luonnokset", "Kopie robocze", "Koncepty", "Черновики", "Чернетки", "下書き", "草稿", "草稿箱",
        "임시 보관함",
    ),
    "\\Trash": (
        "Trash", "Deleted", "Deleted Items", "Deleted Messages", "Bin", "Papierkorb", "Gelöschte Objekte",
        "Gelöschte Elemente", "Corbeille", "Éléments supprimés", "Papelera", "Elementos eliminados", "Lixeira",
        "Itens excluídos", "Cestino", "Posta eliminata", "Prullenbak", "Verwijderde items", "Papperskorgen",
        "Papirkurv", "Roskakori", "Kosz", "Koš", "Корзина", "Удаленные", "Кошик", "ゴミ箱", "已删除", "휴지통",
    ),
    "\\Junk": (
        "Junk", "Spam", "Junk E-mail", "Junk Email", "Junk Mail", "Bulk Mail", "Spamverdacht", "Unerwünscht",
        "Courrier indésirable", "Indésirables", "Pourriel", "Correo no deseado", "Lixo eletrônico",
        "Posta indesiderata", "Ongewenst", "Ongewenste e-mail", "Skräppost", "Søppelpost", "Roskaposti",
        "Нежелательная почта", "Спам", "迷惑メール", "垃圾邮件", "스팸",
    ),
    "\\Archive": (
        "Archive", "Archives", "Archiv", "Archivo", "Archivio", "Archief", "Arquivo", "Arkiv", "Arkisto",
        "Archiwum", "Архив", "Архів", "アーカイブ", "归档", "封存",
    ),
}  # fmt: skip
"""Names that mail programs give to special folders; the first is the one to create."""
