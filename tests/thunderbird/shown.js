// What Thunderbird shows of its accounts, folders and messages: shown({ accounts }) gives it as plain data.
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const { setTimeout } = ChromeUtils.importESModule("resource://gre/modules/Timer.sys.mjs");

const ROLES = {
  Inbox: "inbox", Trash: "trash", SentMail: "sent", Drafts: "drafts", Templates: "templates",
  Archive: "archive", Junk: "junk", Queue: "outbox",
};

const pause = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds));

async function octets(folder, header) {
  // The source of a message, as "View source" has it.
  const uri = folder.getUriForMsg(header);
  const service = MailServices.messageServiceFromURI(uri);
  return new Promise((resolve, reject) => {
    let text = "";
    const listener = {
      QueryInterface: ChromeUtils.generateQI(["nsIStreamListener"]),
      onStartRequest() {},
      onDataAvailable(request, stream, offset, count) {
        const input = Cc["@mozilla.org/binaryinputstream;1"].createInstance(Ci.nsIBinaryInputStream);
        input.setInputStream(stream);
        text += input.readBytes(count);
      },
      onStopRequest(request, status) {
        Components.isSuccessCode(status) ? resolve(text) : reject(new Error(`${uri}: ${status}`));
      },
    };
    service.streamMessage(uri, listener, null, null, false, "");
  });
}

function stored(folder, header) {
  // The same message as it lies in the store: without anything that a protocol does to it.
  const stream = folder.getMsgInputStream(header, {});
  const input = Cc["@mozilla.org/binaryinputstream;1"].createInstance(Ci.nsIBinaryInputStream);
  input.setInputStream(stream);
  let text = "";
  for (;;) {
    let some;
    try {
      some = input.available();
    } catch {
      break;
    }
    if (!some) { break; }
    text += input.readBytes(some);
  }
  input.close();
  return text;
}

function digest(text) {
  const hash = Cc["@mozilla.org/security/hash;1"].createInstance(Ci.nsICryptoHash);
  hash.init(Ci.nsICryptoHash.SHA256);
  const bytes = Uint8Array.from(text, character => character.charCodeAt(0));
  hash.update(bytes, bytes.length);
  return Array.from(hash.finish(false), c => c.charCodeAt(0).toString(16).padStart(2, "0")).join("");
}

function attempt(work) {
  try {
    return work();
  } catch (error) {
    return `${error.name ?? error}`;
  }
}

const instant = seconds => new Date(seconds * 1000).toISOString().replace(".000Z", "Z");

async function message(folder, header, names) {
  const keys = header.getStringProperty("keywords").split(" ").filter(key => key);
  const received = header.getUint32Property("dateReceived");
  const source = await octets(folder, header).catch(error => ({ error: `${error}` }));
  const raw = attempt(() => digest(stored(folder, header)));
  return {
    key: header.messageKey,
    message_id: header.messageId,
    subject: (header.flags & Ci.nsMsgMessageFlags.HasRe ? "Re: " : "") + header.mime2DecodedSubject,
    author: header.mime2DecodedAuthor,
    date: instant(Math.floor(header.date / 1000000)),
    received: received ? instant(received) : null,
    read: header.isRead,
    starred: header.isFlagged,
    replied: Boolean(header.flags & Ci.nsMsgMessageFlags.Replied),
    forwarded: Boolean(header.flags & Ci.nsMsgMessageFlags.Forwarded),
    is_new: Boolean(header.flags & Ci.nsMsgMessageFlags.New),
    partial: Boolean(header.flags & Ci.nsMsgMessageFlags.Partial),
    expunged: Boolean(header.flags & Ci.nsMsgMessageFlags.Expunged),
    attachment: Boolean(header.flags & Ci.nsMsgMessageFlags.Attachment),
    flags: (header.flags >>> 0).toString(16).padStart(8, "0"),
    keywords: keys,
    tags: keys.filter(key => key in names).map(key => names[key]),
    junk_score: header.getStringProperty("junkscore"),
    priority: header.priority,
    size: header.messageSize,
    offset: header.getStringProperty("storeToken"),
    uidl: header.getStringProperty("uidl") || null,
    sha256: typeof source == "string" ? digest(source) : null,
    octets: typeof source == "string" ? source.length : null,
    stored_sha256: raw,
    error: source.error ?? null,
  };
}

async function folderShown(folder, names, path) {
  const flags = folder.flags >>> 0;
  const virtual = Boolean(flags & Ci.nsMsgFolderFlags.Virtual);
  const roles = Object.keys(ROLES).filter(flag => flags & Ci.nsMsgFolderFlags[flag]).map(flag => ROLES[flag]);
  const headers = folder.noSelect ? [] : Array.from(folder.messages);
  headers.sort((one, other) => one.messageKey - other.messageKey);
  const messages = [];
  if (!virtual) {
    for (const header of headers) { messages.push(await message(folder, header, names)); }
  }
  const shown = {
    path,
    shown_as: folder.localizedName,
    uri: folder.URI,
    flags: flags.toString(16).padStart(8, "0"),
    roles,
    virtual,
    selectable: !folder.noSelect,
    total: folder.getTotalMessages(false),
    unread: folder.getNumUnread(false),
    messages,
  };
  if (virtual) {
    const info = folder.msgDatabase.dBFolderInfo;
    shown.search = info.getCharProperty("searchStr");
    shown.searched = info.getCharProperty("searchFolderUri");
  }
  return shown;
}

async function everything(folder, names, path, into) {
  // the order in which they lie on the disk says nothing
  const children = folder.subFolders.toSorted((one, other) => (one.URI < other.URI ? -1 : 1));
  for (const child of children) {
    const place = [...path, child.name];
    into.push(await folderShown(child, names, place));
    await everything(child, names, place, into);
  }
}

function load(root) {
  // Those without an index are read by Thunderbird now, as if somebody had clicked them.
  return Promise.all(root.descendants.map(folder => read(folder)));
}

async function read(folder) {
  if (folder.flags & Ci.nsMsgFolderFlags.Virtual || folder.server.type == "imap") { return; }
  folder.QueryInterface(Ci.nsIMsgLocalMailFolder);
  for (let tries = 0; tries < 300; tries++) {
    try {
      folder.getDatabaseWithReparse(null, null);
      return;
    } catch {
      await pause(100);
    }
  }
}

async function shown() {
  const tags = MailServices.tags.getAllTags().map(({ key, tag, color, ordinal }) => ({ key, tag, color, ordinal }));
  const names = Object.fromEntries(tags.map(({ key, tag }) => [key, tag]));
  const accounts = [];
  for (const account of MailServices.accounts.accounts) {
    const server = account.incomingServer;
    const folders = [];
    await load(server.rootFolder);
    await everything(server.rootFolder, names, [], folders);
    accounts.push({
      account: account.key,
      server: server.key,
      type: server.type,
      name: server.prettyName,
      host: server.hostName,
      user: server.username,
      store: server.getStringValue("storeContractID"),
      folders,
    });
  }
  return { version: Services.appinfo.version, tags, accounts };
}

function addImapAccount({ host, port, user, password, subscribed }) {
  const server = MailServices.accounts.createIncomingServer(user, host, "imap");
  server.QueryInterface(Ci.nsIImapIncomingServer);
  server.port = port;
  server.socketType = Ci.nsMsgSocketType.plain;
  server.authMethod = Ci.nsMsgAuthMethod.passwordCleartext;
  server.password = password;
  server.loginAtStartUp = false;
  server.doBiff = false;
  server.usingSubscription = subscribed;
  server.setBoolValue("autosync_offline_stores", false);
  server.setBoolValue("offline_download", false);
  const account = MailServices.accounts.createAccount();
  const identity = MailServices.accounts.createIdentity();
  identity.email = `${user}@example.org`;
  account.addIdentity(identity);
  account.incomingServer = server;
  return { server, identity };
}

async function discovered(server) {
  // The list of folders comes in without a word that it is complete: wait until it no longer grows.
  server.performExpand(null);
  let known = 0;
  let still = 0;
  for (let tries = 0; tries < 300 && still < 10; tries++) {
    await pause(100);
    const now = server.rootFolder.descendants.length;
    still = now && now == known ? still + 1 : 0;
    known = now;
  }
}

function updated(folder) {
  return new Promise((resolve, reject) => {
    folder.QueryInterface(Ci.nsIMsgImapMailFolder).updateFolderWithListener(null, {
      QueryInterface: ChromeUtils.generateQI(["nsIUrlListener"]),
      OnStartRunningUrl() {},
      OnStopRunningUrl(url, status) {
        Components.isSuccessCode(status) ? resolve() : reject(new Error(`${folder.URI}: ${status}`));
      },
    });
  });
}

async function shownOverImap(parameters) {
  const { server, identity } = addImapAccount(parameters);
  await discovered(server);
  if (!server.rootFolder.descendants.length) { throw new Error("no folders: wrong name or password?"); }
  for (const folder of server.rootFolder.descendants) {
    if (folder.noSelect) { continue; }
    try {
      await updated(folder);
    } catch (error) {
      throw new Error(`${folder.URI}: ${error}`);
    }
  }
  const answer = await shown();
  answer.accounts = answer.accounts.filter(({ type }) => type == "imap");
  const { fccFolderURI, draftsFolderURI, archivesFolderURI, templatesFolderURI } = identity;
  answer.identity = { fccFolderURI, draftsFolderURI, archivesFolderURI, templatesFolderURI };
  return answer;
}
