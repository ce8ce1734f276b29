// The rig: a private chain (btcd) and two LND nodes with a funded channel, a
// payer and a receiver, for as long as its standard input stays open.
//
//	rig DIR BIN
//
// DIR is an empty directory for everything it writes, BIN holds the programs
// `btcd` and `node`. When a first payment has gone through it prints one line
// of JSON: {"network", "address", "certificate", "macaroons"} of the receiver,
// and "payer" with the same of the payer. Then it answers each line of its
// standard input with one line of JSON, in any order:
//
//	ID pay BOLT11     → {"id", "preimage"} or {"id", "error"}
//	ID cancel HASH    → {"id"} or {"id", "error"}
//
// When its standard input ends, it stops its children by their pids.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"
)

// Coinbase outputs mature after 100 blocks; 450 leave alice with plenty.
const (
	firstBlocks  = 450
	channelSat   = 16_000_000
	pushedSat    = 1_000_000
	startupLimit = 120 * time.Second
	nudgeAfter   = 5 * time.Second
)

type place struct {
	Address     string `json:"address"`
	Certificate string `json:"certificate"`
	Macaroons   string `json:"macaroons"`
}

type announcement struct {
	Network string `json:"network"`
	place
	Payer place `json:"payer"`
}

type answer struct {
	ID       string `json:"id"`
	Preimage string `json:"preimage,omitempty"`
	Error    string `json:"error,omitempty"`
}

type rig struct {
	chain           *chain
	payer, receiver *node
}

func (n *node) place() place {
	return place{Address: n.rpc, Certificate: n.certificate(), Macaroons: n.macaroonDir()}
}

func newRig(dir, bin string) (r *rig, err error) {
	r = &rig{}
	if r.chain, err = newChain(dir, bin+"/btcd"); err != nil {
		return r, err
	}
	if r.payer, err = newNode(dir, "payer"); err != nil {
		return r, err
	}
	if r.receiver, err = newNode(dir, "receiver"); err != nil {
		return r, err
	}
	return r, r.bringUp(bin + "/node")
}

func (r *rig) bringUp(program string) error {
	if err := r.chain.run(""); err != nil {
		return err
	}
	if err := r.payer.run(program, r.chain); err != nil {
		return err
	}
	var address string
	err := r.wait("the payer's wallet", func() (err error) {
		address, err = r.payer.newAddress()
		return err
	})
	if err != nil {
		return err
	}
	// btcd takes the address that it mines for at its start only.
	r.chain.running.stop()
	if err := r.chain.run(address); err != nil {
		return err
	}
	if err := r.receiver.run(program, r.chain); err != nil {
		return err
	}
	if err := r.chain.mine(firstBlocks); err != nil {
		return err
	}
	if err := r.follow(); err != nil {
		return err
	}
	err = r.wait("the payer has coins", func() error {
		balance, err := r.payer.confirmedBalance()
		if err == nil && balance < 10*channelSat {
			err = fmt.Errorf("%d sat", balance)
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := r.receiver.bake(); err != nil {
		return err
	}
	return r.openChannel()
}

// follow waits until both nodes are at the tip. A node that was connected to
// btcd when that restarted may see the tip and still wait for the next block:
// it gets one, now and then.
func (r *rig) follow() error {
	last := time.Now()
	for _, n := range []*node{r.payer, r.receiver} {
		err := r.wait("the nodes follow the chain", func() error {
			err := n.synced()
			if err != nil && time.Since(last) > nudgeAfter {
				last = time.Now()
				return errors.Join(err, r.chain.mine(1))
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (n *node) synced() error {
	info, err := n.info()
	if err == nil && !info.SyncedToChain {
		err = fmt.Errorf("at block %d", info.BlockHeight)
	}
	return err
}

func (r *rig) openChannel() error {
	info, err := r.receiver.info()
	if err != nil {
		return err
	}
	key := info.IdentityPubkey
	if err := r.wait("a connection", func() error { return r.payer.connectTo(key, r.receiver.peer) }); err != nil {
		return err
	}
	if err := r.wait("a channel", func() error { return r.payer.openChannel(key, channelSat, pushedSat) }); err != nil {
		return err
	}
	if err := r.chain.mine(6); err != nil {
		return err
	}
	for _, n := range []*node{r.payer, r.receiver} {
		err := r.wait("an active channel", func() error {
			active, err := n.activeChannels()
			if err == nil && active == 0 {
				err = errors.New("none yet")
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	// An active channel carries payments a moment later only.
	return r.wait("a first payment", func() error {
		bolt11, err := r.receiver.invoice(1)
		if err == nil {
			_, err = r.payer.pay(bolt11)
		}
		return err
	})
}

func (r *rig) children() (all []*process) {
	if r.payer != nil && r.payer.running != nil {
		all = append(all, r.payer.running)
	}
	if r.receiver != nil && r.receiver.running != nil {
		all = append(all, r.receiver.running)
	}
	if r.chain != nil && r.chain.running != nil {
		all = append(all, r.chain.running)
	}
	return all
}

func (r *rig) wait(what string, try func() error) error {
	return eventually(what, startupLimit, nil, try)
}

func (r *rig) stop() {
	for _, child := range r.children() {
		child.stop()
	}
	if r.chain != nil {
		r.chain.tidy()
	}
}

func (r *rig) answer(id, verb, argument string) answer {
	a := answer{ID: id}
	var err error
	switch verb {
	case "pay":
		a.Preimage, err = r.payer.pay(argument)
	case "cancel":
		err = r.receiver.cancel(argument)
	default:
		err = errors.New("expected: ID pay BOLT11 | ID cancel HASH")
	}
	if err != nil {
		a.Error = err.Error()
	}
	return a
}

// serve answers commands, side by side, until standard input ends.
func (r *rig) serve() {
	var busy sync.WaitGroup
	var output sync.Mutex
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) != 3 {
			continue
		}
		busy.Add(1)
		go func() {
			defer busy.Done()
			a := r.answer(words[0], words[1], words[2])
			output.Lock()
			defer output.Unlock()
			_ = json.NewEncoder(os.Stdout).Encode(a)
		}()
	}
	busy.Wait()
}

func main() {
	runtime.LockOSThread()
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: rig DIR BIN")
		os.Exit(2)
	}
	r, err := newRig(os.Args[1], os.Args[2])
	defer r.stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "rig:", err)
		r.stop()
		os.Exit(1)
	}
	ready := announcement{Network: "regtest", place: r.receiver.place(), Payer: r.payer.place()}
	if err := json.NewEncoder(os.Stdout).Encode(ready); err == nil {
		r.serve()
	}
}
