// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/wovensdn/woven/pkg/node/driver/ovs"
)

const (
	maxIfName   = 15 // IFNAMSIZ - 1
	maxAlias    = 255
	hostSuffix  = "_h"
	aliasPrefix = "woven "
)

// HostName is the name of the node's end of a NIC: a hash of the whole container id and the interface, and "_h".
func HostName(containerID, ifName string) string {
	sum := sha256.Sum256([]byte(containerID + "/" + ifName))
	return hex.EncodeToString(sum[:])[:maxIfName-len(hostSuffix)] + hostSuffix
}

// linkName is the name of the node's end of an attachment. Earlier versions made it of the first characters of the
// container id: the OVS port of such a NIC has the name still.
func (a Attachment) linkName(ports []ovs.Port) string {
	for _, port := range ports {
		if whose, ok := portAttachment(port); ok && whose == a {
			return port.Name
		}
	}
	return HostName(a.ContainerID, a.IfName)
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
