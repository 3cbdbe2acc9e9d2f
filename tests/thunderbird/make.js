// What a user does to a profile, each thing as a function of its own. Folders are named by [server key, name, name...].
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const { setTimeout } = ChromeUtils.importESModule("resource://gre/modules/Timer.sys.mjs");

const pause = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds));

function folderAt([server, ...names]) {
  let folder = MailServices.accounts.getIncomingServer(server).rootFolder;
  for (const name of names) { folder = folder.getChildNamed(name); }
  return folder.QueryInterface(Ci.nsIMsgLocalMailFolder);
}

function subjectOf(header) {
  return (header.flags & Ci.nsMsgMessageFlags.HasRe ? "Re: " : "") + header.mime2DecodedSubject;
}

function headersIn(place, subjects) {
  const found = [];
  for (const subject of subjects) {
    const some = Array.from(folderAt(place).messages).filter(header => subjectOf(header) == subject);
    if (!some.length) { throw new Error(`no "${subject}" in ${place}`); }
    found.push(...some);
  }
  return found;
}

function listenTo(work) {
  // For the interfaces that end with a status, of whatever name.
  return new Promise((resolve, reject) => {
    const end = status => Components.isSuccessCode(status) ? resolve() : reject(new Error(`status ${status}`));
    work({
      QueryInterface: ChromeUtils.generateQI([
        "nsIUrlListener", "nsIMsgCopyServiceListener", "nsIMsgOperationListener", "nsIMsgSendListener",
      ]),
      OnStartRunningUrl() {},
      OnStopRunningUrl(url, status) { end(status); },
      onStartCopy() {},
      onProgress() {},
      setMessageKey() {},
      getMessageId() { return null; },
      onStopCopy(status) { end(status); },
      onStopOperation(status) { end(status); },
    });
  });
}

function addAccount({ user, host, port, name, email, full_name, store, values, directory }) {
  const server = MailServices.accounts.createIncomingServer(user, host, "pop3");
  server.port = port;
  server.socketType = Ci.nsMsgSocketType.plain;
  server.authMethod = Ci.nsMsgAuthMethod.passwordCleartext;
  server.prettyName = name;
  server.loginAtStartUp = false;
  server.doBiff = false;
  server.setStringValue("storeContractID", store);
  for (const [key, value] of Object.entries(values)) {
    typeof value == "boolean" ? server.setBoolValue(key, value) : server.setIntValue(key, value);
  }
  const account = MailServices.accounts.createAccount();
  const identity = MailServices.accounts.createIdentity();
  identity.email = email;
  identity.fullName = full_name;
  identity.composeHtml = false;
  account.addIdentity(identity);
  account.incomingServer = server;
  MailServices.accounts.setSpecialFolders();
  return { account: account.key, server: server.key, identity: identity.key, path: server.localPath.path };
}

function addLocalFolders() {
  MailServices.accounts.createLocalMailAccount();
  return { server: MailServices.accounts.localFoldersServer.key };
}

function setSender({ host, port, user, identities }) {
  const server = MailServices.outgoingServer.createServer("smtp");
  server.QueryInterface(Ci.nsISmtpServer);
  server.hostname = host;
  server.port = port;
  server.authMethod = Ci.nsMsgAuthMethod.none;
  server.socketType = Ci.nsMsgSocketType.plain;
  server.description = "Outgoing";
  for (const key of identities) { MailServices.accounts.getIdentity(key).smtpServerKey = server.key; }
  MailServices.outgoingServer.defaultServer = server;
}

function setIdentity({ identity, values }) {
  const changed = MailServices.accounts.getIdentity(identity);
  for (const [key, value] of Object.entries(values)) { changed[key] = value; }
}

function uriOf({ folder }) {
  return folderAt(folder).URI;
}

async function fetchMail({ server, password }) {
  const incoming = MailServices.accounts.getIncomingServer(server);
  incoming.password = password;
  const inbox = folderAt([server, "Inbox"]);
  await listenTo(listener => MailServices.pop3.GetNewMail(null, listener, inbox, incoming));
  await pause(1500); // filters move after the end
}

function makeFolder({ parent, name }) {
  const folder = folderAt(parent);
  folder.createSubfolder(name, null);
  const made = folder.getChildNamed(name);
  return { uri: made.URI, file: made.filePath.path, name: made.name, shown: made.localizedName };
}

async function copyMail({ folder, subjects, to, move }) {
  const headers = headersIn(folder, subjects);
  await listenTo(listener =>
    MailServices.copy.copyMessages(folderAt(folder), headers, folderAt(to), move, listener, null, false));
}

async function deleteMail({ folder, subjects, at_once }) {
  const headers = headersIn(folder, subjects);
  await listenTo(listener => folderAt(folder).deleteMessages(headers, null, at_once, false, listener, false));
}

async function moveFolder({ folder, to, move }) {
  await listenTo(listener => MailServices.copy.copyFolder(folderAt(folder), folderAt(to), move, listener, null));
}

function mark({ folder, subjects, read, starred, replied, forwarded, tags, untag, junk, priority }) {
  const place = folderAt(folder);
  const headers = headersIn(folder, subjects);
  if (read !== undefined) { place.markMessagesRead(headers, read); }
  if (starred !== undefined) { place.markMessagesFlagged(headers, starred); }
  for (const header of headers) {
    if (replied) { place.addMessageDispositionState(header, place.nsMsgDispositionState_Replied); }
    if (forwarded) { place.addMessageDispositionState(header, place.nsMsgDispositionState_Forwarded); }
    if (priority !== undefined) { header.priority = priority; }
  }
  if (tags) { place.addKeywordsToMessages(headers, tags.join(" ")); }
  if (untag) { place.removeKeywordsFromMessages(headers, untag.join(" ")); }
  if (junk !== undefined) {
    place.setJunkScoreForMessages(headers, String(junk), "user", -1);
  }
}

function addTag({ name, color, ordinal }) {
  MailServices.tags.addTag(name, color, ordinal ?? "");
  return MailServices.tags.getKeyForTag(name);
}

function renameTag({ key, name }) {
  MailServices.tags.setTagForKey(key, name);
}

function setKeyedTag({ key, name, color }) {
  MailServices.tags.addTagForKey(key, name, color, "");
}

function addFilter({ server, name, sender, to, tag }) {
  const list = MailServices.accounts.getIncomingServer(server).getFilterList(null);
  const filter = list.createFilter(name);
  const term = filter.createTerm();
  term.attrib = Ci.nsMsgSearchAttrib.Sender;
  term.op = Ci.nsMsgSearchOp.Contains;
  const value = term.value;
  value.attrib = term.attrib;
  value.str = sender;
  term.value = value;
  filter.appendTerm(term);
  for (const [type, change] of [
    [Ci.nsMsgFilterAction.AddTag, action => { action.strValue = tag; }],
    [Ci.nsMsgFilterAction.MoveToFolder, action => { action.targetFolderUri = folderAt(to).URI; }],
  ]) {
    const action = filter.createAction();
    action.type = type;
    change(action);
    filter.appendAction(action);
  }
  filter.filterType = Ci.nsMsgFilterType.InboxRule | Ci.nsMsgFilterType.Manual;
  filter.enabled = true;
  list.insertFilterAt(0, filter);
  list.saveToDefaultFile();
}

async function archive({ folder, subjects }) {
  const { MessageArchiver } = ChromeUtils.importESModule("resource:///modules/MessageArchiver.sys.mjs");
  const headers = headersIn(folder, subjects);
  await new Promise(resolve => {
    const archiver = new MessageArchiver();
    archiver.oncomplete = resolve;
    archiver.archiveMessages(headers);
  });
}

async function compact({ folder }) {
  await listenTo(listener => folderAt(folder).compact(listener, null));
}

function addSearchFolder({ parent, name, folders, search }) {
  const { VirtualFolderHelper } = ChromeUtils.importESModule("resource:///modules/VirtualFolderWrapper.sys.mjs");
  const uris = folders.map(place => folderAt(place).URI).join("|");
  VirtualFolderHelper.createNewVirtualFolder(name, folderAt(parent), uris, search, false);
}

async function compose({ identity, account, mode, to, subject, body, html }) {
  const fields = Cc["@mozilla.org/messengercompose/composefields;1"].createInstance(Ci.nsIMsgCompFields);
  const sender = MailServices.accounts.getIdentity(identity);
  fields.from = sender.fullAddress;
  fields.to = to;
  fields.subject = subject;
  const send = Cc["@mozilla.org/messengercompose/send;1"].createInstance(Ci.nsIMsgSend);
  const modes = {
    send: Ci.nsIMsgSend.nsMsgDeliverNow, later: Ci.nsIMsgSend.nsMsgQueueForLater,
    draft: Ci.nsIMsgSend.nsMsgSaveAsDraft, template: Ci.nsIMsgSend.nsMsgSaveAsTemplate,
  };
  await new Promise((resolve, reject) => {
    const end = status => Components.isSuccessCode(status) ? resolve() : reject(new Error(`status ${status}`));
    const listener = {
      QueryInterface: ChromeUtils.generateQI(["nsIMsgSendListener", "nsIMsgCopyServiceListener"]),
      onStartSending() {}, onSendProgress() {}, onStatus() {}, onGetDraftFolderURI() {},
      onStopSending(id, status) { if (!Components.isSuccessCode(status)) { end(status); } },
      onSendNotPerformed() { end(Cr.NS_ERROR_FAILURE); },
      onTransportSecurityError() {},
      onStartCopy() {}, onProgress() {}, setMessageKey() {}, getMessageId() { return null; },
      onStopCopy(status) { end(status); },
    };
    send.createAndSendMessage(
      null, sender, account, fields, false, false, modes[mode], null, html ? "text/html" : "text/plain", body,
      null, null, listener, "", "", Ci.nsIMsgCompType.New
    );
  });
}

function onServer({ server, folder, subjects, state }) {
  // "Delete from server" or "fetch again": noted, done when mail is fetched for the next time.
  const actions = { remove: 3, fetch: 2 };
  folderAt(folder).markMsgsOnPop3Server(headersIn(folder, subjects), actions[state]);
}

function facts() {
  return MailServices.accounts.accounts.map(account => {
    const server = account.incomingServer;
    const folders = server.rootFolder.descendants.map(folder => ({
      name: folder.name, shown: folder.localizedName, uri: folder.URI, file: folder.filePath.path,
      messages: folder.getTotalMessages(false),
    }));
    return { account: account.key, server: server.key, type: server.type, path: server.localPath.path, folders };
  });
}

async function runFilters({ folder }) {
  const place = folderAt(folder);
  const list = place.server.getFilterList(null);
  await listenTo(listener => MailServices.filters.applyFiltersToFolders(list, [place], null, listener));
  await pause(1500);
}
