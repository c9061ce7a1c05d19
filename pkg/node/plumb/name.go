// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

const (
	maxIfName   = 15 // IFNAMSIZ - 1
	maxAlias    = 255
	hostSuffix  = "_h"
	shortID     = 12
	minIDPart   = 5
	aliasPrefix = "woven "
	primaryIf   = "eth0"
)

// HostName is the node's end of a NIC: the first 12 characters of the container id and "_h" for eth0; for another
// interface the container id is cut so that "<id>_<interface>_h" has 15 characters. Where that leaves too little of
// the id to tell sandboxes apart, a hash stands for both.
func HostName(containerID, ifName string) string {
	if ifName == primaryIf {
		return containerID[:min(shortID, len(containerID))] + hostSuffix
	}
	tail := "_" + ifName + hostSuffix
	if room := maxIfName - len(tail); room >= minIDPart {
		return containerID[:min(room, len(containerID))] + tail
	}
	sum := sha256.Sum256([]byte(containerID + "/" + ifName))
	return hex.EncodeToString(sum[:])[:shortID] + hostSuffix
}

// alias marks the node's end: whose it is and for people, which pod it belongs to.
func alias(a Attachment, namespace, name string) string {
	text := aliasPrefix + a.ContainerID + " " + a.IfName + " " + namespace + "/" + name
	return text[:min(len(text), maxAlias)]
}

// attachmentOf reads an alias back; ok is false for a link that is not ours.
func attachmentOf(alias string) (Attachment, bool) {
	rest, ours := strings.CutPrefix(alias, aliasPrefix)
	fields := strings.Fields(rest)
	if !ours || len(fields) < 2 {
		return Attachment{}, false
	}
	return Attachment{ContainerID: fields[0], IfName: fields[1]}, true
}
