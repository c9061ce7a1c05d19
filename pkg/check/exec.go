// SPDX-License-Identifier: Apache-2.0

package check

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/wovensdn/woven/pkg/node/hostplan"
)

// ExecHosts reads the state of a node with ovs-vsctl, ip and nft. The function runs a command in the network namespace
// of a node and returns its standard output.
type ExecHosts func(ctx context.Context, node string, argv ...string) (string, error)

// Host implements [Hosts].
func (run ExecHosts) Host(ctx context.Context, node string) (Host, error) {
	h := Host{}
	if err := run.openVSwitch(ctx, node, &h); err != nil {
		return h, err
	}
	for _, step := range []struct {
		argv  []string
		parse func(*Host, string) error
	}{
		{[]string{"ip", "-json", "-details", "addr"}, parseLinks},
		{[]string{"ip", "-json", "-4", "-N", "route", "show", "table", "main"}, parseRoutes},
		{[]string{"ip", "-json", "-6", "-N", "route", "show", "table", "main"}, parseRoutes},
	} {
		out, err := run(ctx, node, step.argv...)
		if err != nil {
			return h, err
		}
		if err := step.parse(&h, out); err != nil {
			return h, fmt.Errorf("parse the output of %s: %w", strings.Join(step.argv, " "), err)
		}
	}
	return h, run.table(ctx, node, &h)
}

func vsctl(args ...string) []string {
	return append([]string{"ovs-vsctl", "--timeout=10", "--format=json"}, args...)
}

// vsTable is what ovs-vsctl prints with --format=json: values are in the notation of RFC 7047, 5.1.
type vsTable struct {
	Headings []string            `json:"headings"`
	Data     [][]json.RawMessage `json:"data"`
}

func (run ExecHosts) rows(ctx context.Context, node, table, columns string) ([]map[string]vsValue, error) {
	out, err := run(ctx, node, vsctl("--columns="+columns, "list", table)...)
	if err != nil {
		return nil, err
	}
	var t vsTable
	if err := json.Unmarshal([]byte(out), &t); err != nil {
		return nil, fmt.Errorf("parse table %s of ovs-vsctl: %w", table, err)
	}
	var rows []map[string]vsValue
	for _, data := range t.Data {
		row := map[string]vsValue{}
		for i := range min(len(data), len(t.Headings)) {
			if row[t.Headings[i]], err = parseValue(data[i]); err != nil {
				return nil, fmt.Errorf("parse column %s of table %s: %w", t.Headings[i], table, err)
			}
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// vsValue is a value of any column: its atoms as text, or its map.
type vsValue struct {
	atoms []string
	pairs map[string]string
}

func (v vsValue) one() string {
	if len(v.atoms) == 0 {
		return ""
	}
	return v.atoms[0]
}

func parseValue(raw json.RawMessage) (vsValue, error) {
	var tagged []json.RawMessage
	if json.Unmarshal(raw, &tagged) != nil {
		atom, err := parseAtom(raw)
		return vsValue{atoms: []string{atom}}, err
	}
	var tag string
	if len(tagged) != 2 || json.Unmarshal(tagged[0], &tag) != nil {
		return vsValue{}, fmt.Errorf("%s is not a value (RFC 7047, 5.1)", raw)
	}
	switch tag {
	case "uuid":
		atom, err := parseAtom(raw)
		return vsValue{atoms: []string{atom}}, err
	case "set":
		return parseSet(tagged[1])
	}
	return parseMap(tagged[1])
}

func parseSet(raw json.RawMessage) (vsValue, error) {
	var elements []json.RawMessage
	if err := json.Unmarshal(raw, &elements); err != nil {
		return vsValue{}, fmt.Errorf("parse set: %w", err)
	}
	v := vsValue{}
	for _, e := range elements {
		atom, err := parseAtom(e)
		if err != nil {
			return v, err
		}
		v.atoms = append(v.atoms, atom)
	}
	return v, nil
}

func parseMap(raw json.RawMessage) (vsValue, error) {
	var pairs [][2]json.RawMessage
	if err := json.Unmarshal(raw, &pairs); err != nil {
		return vsValue{}, fmt.Errorf("parse map: %w", err)
	}
	v := vsValue{pairs: map[string]string{}}
	for _, p := range pairs {
		key, err := parseAtom(p[0])
		if err != nil {
			return v, err
		}
		if v.pairs[key], err = parseAtom(p[1]); err != nil {
			return v, err
		}
	}
	return v, nil
}

func parseAtom(raw json.RawMessage) (string, error) {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text, nil
	}
	var uuid [2]string
	if json.Unmarshal(raw, &uuid) == nil {
		return uuid[1], nil
	}
	var other any
	if err := json.Unmarshal(raw, &other); err != nil {
		return "", fmt.Errorf("parse atom: %w", err)
	}
	return fmt.Sprint(other), nil
}

// openVSwitch reads interfaces and mirrors.
func (run ExecHosts) openVSwitch(ctx context.Context, node string, h *Host) error {
	bridges, err := run.rows(ctx, node, "Bridge", "name,ports")
	if err != nil {
		return err
	}
	ports, err := run.rows(ctx, node, "Port", "_uuid,name,interfaces")
	if err != nil {
		return err
	}
	interfaces, err := run.rows(ctx, node, "Interface", "_uuid,name,type,external_ids,error")
	if err != nil {
		return err
	}
	mirrors, err := run.rows(ctx, node, "Mirror", "name,output_port,select_src_port,select_dst_port")
	if err != nil {
		return err
	}
	portName, bridgeOf := map[string]string{}, map[string]string{}
	for _, p := range ports {
		uuid := p["_uuid"].one()
		portName[uuid] = p["name"].one()
		for _, b := range bridges {
			if !slices.Contains(b["ports"].atoms, uuid) {
				continue
			}
			for _, i := range p["interfaces"].atoms {
				bridgeOf[i] = b["name"].one()
			}
		}
	}
	for _, i := range interfaces {
		h.Interfaces = append(h.Interfaces, Interface{
			Name: i["name"].one(), Type: i["type"].one(), Bridge: bridgeOf[i["_uuid"].one()],
			ExternalIDs: i["external_ids"].pairs, Error: i["error"].one(),
		})
	}
	for _, m := range mirrors {
		h.Mirrors = append(h.Mirrors, Mirror{
			Name: m["name"].one(), Output: portName[m["output_port"].one()],
			SelectSrc: named(m["select_src_port"].atoms, portName), ToDst: named(m["select_dst_port"].atoms, portName),
		})
	}
	return nil
}

func named(uuids []string, names map[string]string) []string {
	var out []string
	for _, uuid := range uuids {
		out = append(out, names[uuid])
	}
	return out
}

func parseLinks(h *Host, text string) error {
	var links []struct {
		Name    string   `json:"ifname"`
		Alias   string   `json:"ifalias"`
		MAC     string   `json:"address"`
		Flags   []string `json:"flags"`
		Address []struct {
			Local string `json:"local"`
			Bits  int    `json:"prefixlen"`
		} `json:"addr_info"`
	}
	if err := json.Unmarshal([]byte(text), &links); err != nil {
		return err //nolint:wrapcheck // the caller names the command
	}
	for _, l := range links {
		link := Link{Name: l.Name, Alias: l.Alias, MAC: l.MAC, Up: slices.Contains(l.Flags, "UP")}
		for _, a := range l.Address {
			if addr, err := netip.ParseAddr(a.Local); err == nil {
				link.Addresses = append(link.Addresses, netip.PrefixFrom(addr, a.Bits))
			}
		}
		h.Links = append(h.Links, link)
	}
	return nil
}

func parseRoutes(h *Host, text string) error {
	if strings.TrimSpace(text) == "" {
		return nil // ip prints no JSON for an empty table
	}
	var routes []struct {
		Dst      string `json:"dst"`
		Gateway  string `json:"gateway"`
		Dev      string `json:"dev"`
		Protocol string `json:"protocol"`
	}
	if err := json.Unmarshal([]byte(text), &routes); err != nil {
		return err //nolint:wrapcheck // the caller names the command
	}
	for _, r := range routes {
		dst, _ := parseElement(r.Dst) // "default" has no prefix
		gateway, _ := netip.ParseAddr(r.Gateway)
		protocol, _ := strconv.Atoi(r.Protocol)
		h.Routes = append(h.Routes, Route{Dst: dst, Gateway: gateway, Link: r.Dev, Protocol: protocol})
	}
	return nil
}

// table reads the sets of our nftables table, if it exists.
func (run ExecHosts) table(ctx context.Context, node string, h *Host) error {
	tables, err := run(ctx, node, "nft", "list", "tables", "inet")
	if err != nil {
		return err
	}
	if !slices.Contains(strings.Split(strings.TrimSpace(tables), "\n"), "table inet "+hostplan.TableName) {
		return nil
	}
	text, err := run(ctx, node, "nft", "-j", "list", "table", "inet", hostplan.TableName)
	if err != nil {
		return err
	}
	if h.Sets, err = parseSets(text); err != nil {
		return fmt.Errorf("parse nftables table %s: %w", hostplan.TableName, err)
	}
	return nil
}

// parseSets reads the JSON of nft (libnftables-json(5)).
func parseSets(text string) (map[string][]string, error) {
	var all struct {
		Nftables []struct {
			Set *struct {
				Name     string            `json:"name"`
				Elements []json.RawMessage `json:"elem"`
			} `json:"set"`
		} `json:"nftables"`
	}
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return nil, err //nolint:wrapcheck // the caller names the table
	}
	sets := map[string][]string{}
	for _, object := range all.Nftables {
		if object.Set == nil {
			continue
		}
		sets[object.Set.Name] = []string{}
		for _, raw := range object.Set.Elements {
			var prefix struct {
				Prefix struct {
					Addr string `json:"addr"`
					Len  int    `json:"len"`
				} `json:"prefix"`
			}
			var text string
			if json.Unmarshal(raw, &text) != nil {
				if err := json.Unmarshal(raw, &prefix); err != nil {
					return nil, fmt.Errorf("element of set %s: %w", object.Set.Name, err)
				}
				text = prefix.Prefix.Addr + "/" + strconv.Itoa(prefix.Prefix.Len)
			}
			sets[object.Set.Name] = append(sets[object.Set.Name], text)
		}
	}
	return sets, nil
}
