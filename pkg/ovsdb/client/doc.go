// SPDX-License-Identifier: Apache-2.0

// Package client keeps a live copy of one OVSDB database and sends it transactions.
//
// New creates a DB, Run connects it: it loads the monitored tables, follows their changes, and goes to the next
// endpoint when the connection is lost, forever. Reads (Row, Each, UUIDs, Len) never block on the network: without a
// connection they return the last known state. A transaction of the server becomes visible to readers as a whole. After
// Transact has returned, its effects are visible.
//
// The models, the decoding of rows and the application of differences are libovsdb's. The connection is our own,
// because libovsdb v0.8.1's client has three faults:
//
//   - it does not recover from a hanging server: it holds its lock while it connects, all endpoints share one timeout,
//     and a blocked write blocks every later call, Close included;
//   - it silently drops an update that it cannot apply (update3), so that the copy stays wrong;
//   - it drops changes when more than 65,536 are waiting.
//
// This client closes the socket to end a session, which unblocks every goroutine of it. A watchdog does that when the
// server has been silent for two probe intervals. An update that cannot be applied ends the session, and the next
// session loads everything again. Changes wait in a set, which loses none.
//
// The protocol is RFC 7047 with the extensions of ovsdb-server(7): monitor_cond_since and the _Server database.
package client
