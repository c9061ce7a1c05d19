// SPDX-License-Identifier: Apache-2.0

package nft

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Watch calls notify once it listens and once for every transaction that changes the
// named table, by anybody, us included, until ctx ends (then it returns nil) or the kernel's
// stream breaks (then it returns an error: changes may have been missed, and the
// caller watches again). knftables has no monitor, so this listens to the
// kernel's own notifications (NFNLGRP_NFTABLES of linux/netfilter/nfnetlink.h).
func Watch(ctx context.Context, table string, notify func()) error {
	sock, err := nl.Subscribe(unix.NETLINK_NETFILTER, unix.NFNLGRP_NFTABLES)
	if err != nil {
		return fmt.Errorf("subscribe to nftables: %w", err)
	}
	defer sock.Close()
	// The receive below ends at least this often, to see that ctx has ended.
	if err := sock.SetReceiveTimeout(&unix.Timeval{Sec: 1}); err != nil {
		return fmt.Errorf("set receive timeout: %w", err)
	}
	notify()
	touched := false
	for ctx.Err() == nil {
		msgs, _, err := sock.Receive()
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("receive nftables changes: %w", err)
		}
		for _, m := range msgs {
			// What a transaction changes comes first, and then a message that it has been committed.
			touched = touched || tableOf(m) == table
			if touched && isKind(m, unix.NFT_MSG_NEWGEN) {
				touched = false
				notify()
			}
		}
	}
	return nil
}

func isKind(m syscall.NetlinkMessage, kind uint16) bool {
	return m.Header.Type>>8 == unix.NFNL_SUBSYS_NFTABLES && m.Header.Type&0xff == kind
}

// tableOf returns the table that a notification is about, "" if about none. In
// every kind of message but those of a generation, attribute 1 is the table's
// name (NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, NFTA_RULE_TABLE, NFTA_SET_TABLE,
// NFTA_SET_ELEM_LIST_TABLE … of linux/netfilter/nf_tables.h).
func tableOf(m syscall.NetlinkMessage) string {
	const nfgenmsg, attrHeader = 4, 4
	kind := m.Header.Type & 0xff
	if m.Header.Type>>8 != unix.NFNL_SUBSYS_NFTABLES || kind == unix.NFT_MSG_NEWGEN || kind == unix.NFT_MSG_GETGEN {
		return ""
	}
	if len(m.Data) < nfgenmsg+attrHeader {
		return ""
	}
	// The table's name comes first in every message.
	b := m.Data[nfgenmsg:]
	size := int(binary.NativeEndian.Uint16(b))
	typ := binary.NativeEndian.Uint16(b[2:]) & ^uint16(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER)
	if typ != 1 || size <= attrHeader || size > len(b) {
		return ""
	}
	return string(b[attrHeader : size-1]) // without the final NUL
}
