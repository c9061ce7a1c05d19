// SPDX-License-Identifier: Apache-2.0

package model

import (
	"strings"

	"github.com/wovensdn/woven/api/annotations"
)

// Provider names what a NIC is attached by; its annotations, its port and its record are named after it. It is one of
//
//	ovn                           the default NIC of a pod
//	<nad>.<namespace>.ovn         a NetworkAttachmentDefinition whose packets OVN moves
//	<nad>.<namespace>.ovn.<nic>   the same, attached to a pod more than once
//	<nad>.<namespace>             one that only gets its addresses from Woven
//
// A namespace and the name of a NIC have no dots, a NetworkAttachmentDefinition may.
type Provider string

// DefaultProvider is that of a pod's default NIC.
const DefaultProvider Provider = annotations.DefaultProvider

const (
	ovnSuffix = "." + annotations.DefaultProvider
	ovnInfix  = ovnSuffix + "."
)

// Attachment is a [Provider] split into its parts.
type Attachment struct {
	NAD, Namespace string // of the NetworkAttachmentDefinition; empty for the default NIC
	Interface      string // in the pod; empty unless the provider names it
	OVN            bool   // OVN moves the packets
}

// AttachmentProvider is the provider of a NetworkAttachmentDefinition whose packets OVN moves.
func AttachmentProvider(nad, namespace string) Provider {
	return Provider(nad + "." + namespace + ovnSuffix)
}

// Attachment splits the provider. The empty provider is the default one.
func (p Provider) Attachment() Attachment {
	text := string(p)
	if p == "" || p == DefaultProvider {
		return Attachment{OVN: true}
	}
	if nad, ok := strings.CutSuffix(text, ovnSuffix); ok {
		return attachment(nad, "", true)
	}
	if i := strings.LastIndex(text, ovnInfix); i >= 0 {
		nad, nic := text[:i], text[i+len(ovnInfix):]
		if strings.Contains(nad, ".") && nic != "" && !strings.Contains(nic, ".") {
			return attachment(nad, nic, true)
		}
	}
	return attachment(text, "", false)
}

func attachment(nad, nic string, ovn bool) Attachment {
	a := Attachment{NAD: nad, Interface: nic, OVN: ovn}
	if i := strings.LastIndexByte(nad, '.'); i >= 0 {
		a.NAD, a.Namespace = nad[:i], nad[i+1:]
	}
	return a
}

// OVN reports whether OVN forwards the packets; otherwise only the addresses are managed here.
func (p Provider) OVN() bool { return p.Attachment().OVN }

// Network is the provider without the interface: the one that a [Subnet] names.
func (p Provider) Network() Provider {
	if nic := p.Attachment().Interface; nic != "" {
		return p[:len(p)-len(nic)-1]
	}
	return p
}

// Key is the annotation of the NIC with a suffix.
func (p Provider) Key(suffix string) string { return annotations.Key(string(p), suffix) }

// recordProvider is the provider in the name of a record, see [PortName]: the default one for a node, and for a
// reservation of another name, which no NIC uses.
func recordProvider(name, pod, namespace string) Provider {
	provider, ok := strings.CutPrefix(name, PortName(pod, namespace, DefaultProvider)+".")
	if !ok || namespace == "" {
		return DefaultProvider
	}
	return Provider(provider)
}
