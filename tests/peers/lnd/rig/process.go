// Children of the rig: started with a log file each, ended by their pid, and
// ended by the kernel should the rig itself be killed.
package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// A node that shuts down cleanly needs about a second; past this it is killed.
const stopDeadline = 15 * time.Second

type process struct {
	name   string
	cmd    *exec.Cmd
	exited chan struct{}
}

// start runs program with its output in <dir>/<name>.log. It must be called
// from the main goroutine, which is locked to its thread: PDEATHSIG is tied
// to the thread that forked.
func start(dir, name, program string, args ...string) (*process, error) {
	log, err := os.OpenFile(filepath.Join(dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p := &process{name: name, cmd: exec.Command(program, args...), exited: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// stop asks politely, waits for the exit, and insists after the deadline.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(stopDeadline):
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}

func (p *process) dead() error {
	select {
	case <-p.exited:
		return fmt.Errorf("%s has exited: %v; see its log", p.name, p.cmd.ProcessState)
	default:
		return nil
	}
}

// freeAddress picks a port of 127.0.0.1 that nobody listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// eventually repeats try until it succeeds; what it waits for lives in other
// processes that offer no event for it.
func eventually(what string, within time.Duration, alive []*process, try func() error) error {
	end := time.Now().Add(within)
	for {
		err := try()
		if err == nil {
			return nil
		}
		for _, p := range alive {
			if gone := p.dead(); gone != nil {
				return fmt.Errorf("%s: %w", what, gone)
			}
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s: not within %v: %w", what, within, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
