// Package client keeps a live copy of one OVSDB database and sends it transactions.
//
// A DB is made by New and lives as long as its Run: Run connects, loads the monitored tables, follows
// their changes, and when the connection is lost goes to the next endpoint, for ever. Reads (Row,
// Each, UUIDs, Len) never block on the network: while there is no connection they serve the last
// state that was seen. A transaction of the server becomes visible to readers as a whole, and when
// Transact has returned, its effects are visible.
//
// The models, the decoding of rows and the application of differences are libovsdb's; the connection
// is our own, because libovsdb v0.8.1's client cannot give what Woven needs:
//
//   - it does not come back from a frozen server: its lock is held while it connects, all endpoints
//     share one timeout, and a write that blocks blocks every later call, Close included;
//   - an update that it cannot apply is dropped without a trace (update3), so that the copy stays wrong;
//   - when more than 65,536 changes are waiting, further ones are not reported.
//
// Here the socket is closed to end a session, which frees everything that hangs on it; a watchdog does
// that when the server has been silent for two probe intervals; an update that cannot be applied ends
// the session and the next one loads everything again; and changes wait in a set, which loses none.
//
// The protocol is RFC 7047 with the extensions of ovsdb-server(7): monitor_cond_since and the
// _Server database.
package client
