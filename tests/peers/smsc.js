// An SMSC of node-smpp's (npm `smpp`), which node_smpp.py starts: what it sees goes to stdout, one JSON line each; what it is to do comes on
// stdin. Everything about SMPP in it is node-smpp's; of ours is only when it answers what.
'use strict';
const smpp = require('smpp');
const readline = require('readline');

const say = (kind, more) => process.stdout.write(JSON.stringify({ kind, ...more }) + '\n');
const sessions = new Set();
let last = 4096;

function report(session, pdu, id) {
  const text = `id:${id} sub:001 dlvrd:001 submit date:2612010000 done date:2612010000 stat:DELIVRD err:000 text:`;
  for (const each of sessions)
    if (each.receives)
      return each.deliver_sm({
        source_addr_ton: pdu.dest_addr_ton, source_addr_npi: pdu.dest_addr_npi, source_addr: pdu.destination_addr,
        destination_addr: pdu.source_addr, esm_class: 4, short_message: text, receipted_message_id: id, message_state: 2,
      }, (answer) => say('acknowledged', { id, status: answer.command_status }));
}

const server = smpp.createServer((session) => {
  session.on('error', () => {});
  session.on('close', () => { sessions.delete(session); say('close', { state: session.state }); });
  for (const bind of ['bind_transceiver', 'bind_transmitter', 'bind_receiver'])
    session.on(bind, (pdu) => {
      const status = pdu.password === 'secret' ? 0 : smpp.ESME_RINVPASWD;
      session.receives = bind !== 'bind_transmitter';
      session.send(pdu.response({ command_status: status, system_id: 'node' }));
      if (!status) sessions.add(session);
      say(bind, { system_id: pdu.system_id, system_type: pdu.system_type, version: pdu.interface_version, status });
    });
  session.on('submit_sm', (pdu) => {
    const message = pdu.message_payload || pdu.short_message;
    const parts = (message.udh || []).map((each) => Array.from(each));
    if (pdu.destination_addr.endsWith('99')) {
      session.send(pdu.response({ command_status: smpp.ESME_RINVDSTADR }));
      return say('refused', { to: pdu.destination_addr });
    }
    const id = (++last).toString(16);
    session.send(pdu.response({ message_id: id }));
    say('submit', {
      id, to: pdu.destination_addr, from: pdu.source_addr, text: message.message, udh: parts, coding: pdu.data_coding, esm: pdu.esm_class,
      registered: pdu.registered_delivery, ton: pdu.dest_addr_ton, validity: String(pdu.validity_period),
    });
    if (pdu.registered_delivery & 1) setTimeout(() => report(session, pdu, id), 50);
  });
  session.on('enquire_link', (pdu) => { session.send(pdu.response()); say('enquire_link'); });
  session.on('unbind', (pdu) => { session.send(pdu.response(), () => session.close()); say('unbind'); });
});

const orders = {
  write({ from, to, text, udh }) {
    const message = udh ? { udh: Buffer.from(udh), message: text } : text;
    for (const each of sessions)
      if (each.receives)
        return each.deliver_sm({ source_addr_ton: 1, source_addr_npi: 1, source_addr: from, destination_addr: to, short_message: message },
          (answer) => say('taken', { text, status: answer.command_status }));
  },
  enquire() { for (const each of sessions) each.enquire_link({}, (answer) => say('alive', { status: answer.command_status })); },
  unbind() { for (const each of sessions) each.unbind({}, (answer) => { say('left', { status: answer.command_status }); each.close(); }); },
};
readline.createInterface({ input: process.stdin }).on('line', (line) => { const order = JSON.parse(line); orders[order.do](order); });
server.listen(0, '127.0.0.1', () => say('listening', { port: server.address().port }));
